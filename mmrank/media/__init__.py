"""Opening bytes safely: images, PDF pages, video frames, sheets of them, and folders of files.

No decoder beyond Pillow is imported before a file asks for it.
"""

from mmrank.media.image import open_image, shrink, thumbnail
from mmrank.media.load import Loaded, digest, load
from mmrank.media.page import Page, open_page, page_count
from mmrank.media.scan import Scan, scan
from mmrank.media.sheet import numbered_sheet, s_grid, sheet
from mmrank.media.uri import Location, item_id, path_uri, split_uri
from mmrank.media.video import FrameReader, Frames, VideoInfo, sample_frames, video_info

__all__ = [
    "FrameReader",
    "Frames",
    "Loaded",
    "Location",
    "Page",
    "Scan",
    "VideoInfo",
    "digest",
    "item_id",
    "load",
    "numbered_sheet",
    "open_image",
    "open_page",
    "page_count",
    "path_uri",
    "s_grid",
    "sample_frames",
    "scan",
    "sheet",
    "shrink",
    "split_uri",
    "thumbnail",
    "video_info",
]
