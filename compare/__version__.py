"""The version of the program, read by the command line, the results and the packaging."""

VERSION = "0.1.0"
