"""Images: root filesystems that are not running, where they come from, how they are entered, and how they are packed."""
