"""What every version signed goes on verifying: a directory a version, made once by write.py and never changed."""
