"""Video: frames and a frame rate, read from and written to files, and laid out on sheets."""

from worldreel.video.sheet import contact_sheet
from worldreel.video.video import Video
from worldreel.video.write import check_image, check_output, save_image

__all__ = ["Video", "check_image", "check_output", "contact_sheet", "save_image"]
