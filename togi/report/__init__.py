"""One offline HTML page from the files of a run."""
