"""What a factory does to a picture and what a defect looks like, as pure functions of pixels."""
