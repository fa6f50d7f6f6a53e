"""The runbooks, one a rule: a package, so that they come with the program and the console shows them."""
