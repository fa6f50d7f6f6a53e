#!/bin/bash
# Gives each user of Kafka the password in /run/secrets/kafka-USER.password; again changes nothing but the passwords.
set -euo pipefail
umask 077
scram=$(mktemp) # in a file: others could read a command's arguments
for file in /run/secrets/kafka-*.password; do
  user=$(basename "$file" .password)
  user=cardiosentry-${user#kafka-}
  printf 'SCRAM-SHA-512=iterations=8192,password=%s\n' "$(<"$file")" >"$scram"
  /opt/kafka/bin/kafka-configs.sh --bootstrap-server kafka:9094 --command-config /etc/cardiosentry/admin.properties \
    --alter --entity-type users --entity-name "$user" --add-config-file "$scram"
done
rm "$scram"
