import logging

import core as core  # first of all: it keeps libraries from telling others

# What is no command's result goes to loggers below this one; nothing is shown unless a program sets logging up.
logging.getLogger(__name__).addHandler(logging.NullHandler())
