"""Whose exam it is: the domain of each MMLU subject, and the experts of togi's own questions."""

from __future__ import annotations

_MMLU = {
    "STEM": """
        abstract_algebra astronomy college_biology college_chemistry college_computer_science
        college_mathematics college_physics computer_security conceptual_physics
        electrical_engineering elementary_mathematics high_school_biology high_school_chemistry
        high_school_computer_science high_school_mathematics high_school_physics
        high_school_statistics machine_learning
    """,
    "humanities": """
        formal_logic high_school_european_history high_school_us_history
        high_school_world_history international_law jurisprudence logical_fallacies
        moral_disputes moral_scenarios philosophy prehistory professional_law world_religions
    """,
    "social sciences": """
        econometrics high_school_geography high_school_government_and_politics
        high_school_macroeconomics high_school_microeconomics high_school_psychology
        human_sexuality professional_psychology public_relations security_studies sociology
        us_foreign_policy
    """,
    "other": """
        anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging
        management marketing medical_genetics miscellaneous nutrition professional_accounting
        professional_medicine virology
    """,
}
MMLU_DOMAINS = {task: domain for domain, tasks in _MMLU.items() for task in tasks.split()}
"""MMLU subject -> its super-category (Hendrycks et al. 2021)."""

OWN_EXPERTS = {
    "opposites": "vocabulary expert",
    "kinds": "word meaning expert",
    "grammar": "English grammar expert",
    "arithmetic": "arithmetic expert",
    "sequences": "number sequence expert",
    "facts": "general knowledge expert",
    "physical": "everyday physics expert",
}
"""Category of togi's own questions (`guards.choices`) -> who knows it best."""
OWN_DOMAINS = {
    "opposites": "words",
    "kinds": "words",
    "grammar": "words",
    "arithmetic": "numbers",
    "sequences": "numbers",
    "facts": "the world",
    "physical": "the world",
}
"""Category of togi's own questions -> its domain."""
