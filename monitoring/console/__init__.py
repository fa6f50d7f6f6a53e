"""The console: one page that says how the stream, the models and the alerts are, for whoever has no Kibana."""
