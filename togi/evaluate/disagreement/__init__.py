"""Where raters disagree: how much, about what, who with whom, and a model judged against all.

`table` holds ratings, `reading` and `loaders` bring them; `agreement`, `groups`, `crowdtruth`,
`mace` and `dawid_skene` ask who agrees with whom; `soft` and `ceiling` keep an item's whole
distribution and judge a model against it; `steps` is the recipe's `evaluate.raters`.
"""
