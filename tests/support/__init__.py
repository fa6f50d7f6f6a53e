"""What tests share: brokers to run against, topics of their own, and reading a topic to its end."""
