"""What is generated from the code and checked in: a module for each kind of file.

Each has `files()`, which gives their paths from the repository's root and what belongs into them. If it has `FOLDER`,
that folder holds nothing else.
"""
