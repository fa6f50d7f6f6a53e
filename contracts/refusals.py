"""What Kafka's refusals mean to a person: whom to ask and which setting to look at."""

import re
from collections.abc import Mapping

_AUTHORIZATION = {
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
}
# librdkafka's text of a connection that ended before the broker answered anything.
_OTHER_PROTOCOL = re.compile(r"security\.protocol|SSL listener|wrong version number|unexpected message", re.IGNORECASE)


def protocol(properties: Mapping[str, object]) -> str:
    """Return what a client with librdkafka's properties speaks; a broker that speaks another does not answer it."""
    return f"security.protocol {properties.get('security.protocol', 'plaintext')}"


def said(name: str, text: str) -> str:
    """Return an error's text with what to do about it."""
    return "; ".join(filter(None, (text, explain(name, text))))


def explain(name: str, text: str) -> str:
    """Return what to do about an error of librdkafka's, by its name (`KafkaError.name()`) and text; else nothing.

    Nothing of the text is repeated.
    """
    if name in ("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"):
        return (
            "expected the name and password of a user that it knows: see sasl.mechanism, sasl.username and "
            "sasl.password below [kafka], or the setting sasl_password_file"
        )
    if _OTHER_PROTOCOL.search(text):
        return "expected the protocol that this port speaks: see security.protocol below [kafka]"
    if name == "_SSL":
        return (
            "expected a broker whose certificate is by a CA of ssl.ca.location, is in date and names the host of the "
            "setting bootstrap"
        )
    if name in _AUTHORIZATION:
        return "this user may not: an administrator says who may by `cardiosentry topics acl`"
    return ""
