#!/bin/bash
# Elasticsearch writes a key store into its configuration: a copy in memory lets the image itself stay read-only.
set -euo pipefail
cp -r /usr/share/elasticsearch/config/. "$ES_PATH_CONF"
cp /etc/cardiosentry/elasticsearch.yml "$ES_PATH_CONF"
# It reads certificates below its configuration alone.
cp /run/secrets/elastic.pem /run/secrets/elastic.key /run/secrets/elastic-ca.pem "$ES_PATH_CONF"
exec /usr/local/bin/docker-entrypoint.sh eswrapper
