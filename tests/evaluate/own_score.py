"""A user's scoring functions, called in a process of their own."""


def overlap(response, prompt, row):
    """Share of the target's words that the answer has."""
    wanted = str(row["target"]).split()
    return sum(word in response.split() for word in wanted) / len(wanted)


def short(response):
    """Whether the answer is short."""
    return len(response) < 20


def broken(response):
    """Fail on purpose."""
    return response.no_such_thing
