"""A synthetic part is drawn here, with exact defects."""
