#!/bin/bash
# Formats the storage where it is new, and starts the broker with the file of settings that is given.
set -euo pipefail
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id "$CLUSTER_ID" --config "$1"
exec /opt/kafka/bin/kafka-server-start.sh "$1"
