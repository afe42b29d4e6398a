"""Opening bytes safely: images, PDF pages, video frames, sheets of them, and folders of files."""
