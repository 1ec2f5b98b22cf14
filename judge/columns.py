"""Names of the columns of judgments, of what was asked, and of grades, beside those of `retrieval.tables.Columns`."""


class J:
    """A judgment is of one user's history and one video; systems that recommend the same video share it."""

    KEY = "key"
    PAIR_ID = "pair_id"
    GRADE = "grade"
    EXPECTED = "expected"
    ADJUSTED = "adjusted"
    UNCERTAINTY = "uncertainty"
    MASS = "mass"
    REASON = "reason"
    UNSCORED = "unscored"
    DETAIL = "detail"
    N_PRODUCTS = "n_products"
    RUBRIC = "rubric"
    JUDGE = "judge"
    FINGERPRINT = "fingerprint"
    JUDGED_AT = "judged_at"
    SECONDS = "seconds"

    # The probability of each score, 1 to 5.
    P = ("p_1", "p_2", "p_3", "p_4", "p_5")
