"""Ships what CardioSentry writes to Elasticsearch: its own process, which only reads topics and files."""
