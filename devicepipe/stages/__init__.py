"""The stages of a release, one thin file each: evidence in, evidence out."""
