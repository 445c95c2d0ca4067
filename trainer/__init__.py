import core as core  # first of all: it keeps libraries from telling others
