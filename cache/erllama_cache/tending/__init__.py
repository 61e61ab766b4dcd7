"""Looking after a cache directory from outside, beside any number of stores: survey, verify, collect, export."""
