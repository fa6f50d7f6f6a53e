"""What crosses a boundary: records, topics, feature tables, alerts, errors, settings, metric names. No I/O."""
