"""The ways by which notifications travel, a file each, behind one protocol (``app/delivery/channel.py``)."""
