"""One offline HTML page from the files of a run.

`page.build(folder)` writes `report.html`, `page.summary(folder)` returns the few plain lines that
end a run. Both read only what the run left behind, so any run can be reported on again.
"""
