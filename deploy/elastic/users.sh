#!/bin/bash
# Gives Kibana's own user its password, and makes the shipper's, which can add documents and nothing else
# (docs/shipping.md); again changes nothing but the passwords.
set -euo pipefail
secret() { printf '%s' "$(<"/run/secrets/$1")"; }
# Both by files that are never on a disk: others could read a command's arguments.
put() {
  curl --silent --show-error --fail --output /dev/null --cacert /run/secrets/elastic-ca.pem --request "$1" \
    --config <(printf 'user = "elastic:%s"\n' "$(secret elastic.password)") \
    --header 'Content-Type: application/json' --data-binary @<(printf '%s' "$3") "https://elasticsearch:9200$2"
}
put POST /_security/user/kibana_system/_password "{\"password\": \"$(secret kibana.password)\"}"
put PUT /_security/role/cardiosentry-ship '{
  "indices": [
    {"names": ["cardiosentry-*"], "privileges": ["create_doc", "auto_configure", "view_index_metadata"]}
  ]
}'
put PUT /_security/user/cardiosentry-ship \
  "{\"password\": \"$(secret elastic-ship.password)\", \"roles\": [\"cardiosentry-ship\"]}"
