"""OpenCV reads network streams, V4L2 cameras and video files."""
