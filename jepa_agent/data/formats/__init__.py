"""Readers and writers of other libraries' data, one file each."""
