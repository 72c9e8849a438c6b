"""Rules (CEL) and rule sets as data, and the decisions they lead to."""
