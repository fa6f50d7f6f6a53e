"""What CardioSentry reaches, beside a plain loop and its peers: throughput, latency, memory.

Each benchmark is a command, `python -m benchmarks.throughput`, `.latency`, `.memory`, that starts a real Kafka of its
own (or takes `--bootstrap`), prints a table and writes JSON to benchmarks/results/ and a plot to docs/benchmarks/.
"""
