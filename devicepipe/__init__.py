"""devicepipe: from a commit of medical-device firmware to a release that anyone can check offline."""
