"""Who comes to the daemon's doors is not let in, or a door cannot be opened."""

from __future__ import annotations

from erllama_cache.errors import ErllamaError
from erllama_daemon.errors.exit_codes import EXIT_FAILED, EXIT_USAGE


class HttpNeedsTls(ErllamaError):
    """{address} can be reached from other machines, and no TLS certificate is configured."""

    code = "http_needs_tls"
    exit_code = EXIT_USAGE
    hint = "Listen at 127.0.0.1, or set daemon.http_tls_cert and daemon.http_tls_key: keys and texts would be readable."


class HttpAddressTaken(ErllamaError):
    """Another program listens at {address} already."""

    code = "http_address_taken"
    exit_code = EXIT_FAILED
    hint = "Take another port, or port 0 for any that is free: erllama daemon start --http 127.0.0.1:0"


class HttpAddressUnusable(ErllamaError):
    """The daemon cannot listen at {address}: {reason}."""

    code = "http_address_unusable"
    exit_code = EXIT_FAILED
    hint = "Take an address of this machine. As a service, write its units again: erllama daemon install"


class TlsUnusable(ErllamaError):
    """The TLS certificate {cert} with the key {key} cannot be used: {reason}."""

    code = "tls_unusable"
    exit_code = EXIT_FAILED
    hint = "Both are needed, in PEM, the key without a password: daemon.http_tls_cert and daemon.http_tls_key"


class ApiKeyUnusable(ErllamaError):
    """The API key in {path} cannot be used: {reason}."""

    code = "api_key_unusable"
    exit_code = EXIT_FAILED
    hint = "Have a new one made, which takes its place: erllama daemon key --rotate"


class ApiKeyMissing(ErllamaError):
    """The request has no API key."""

    code = "api_key_missing"
    exit_code = EXIT_FAILED
    hint = "Send the one that `erllama daemon key` prints, as `Authorization: Bearer KEY` or as `x-api-key: KEY`."


class ApiKeyWrong(ErllamaError):
    """The API key of the request is not the daemon's."""

    code = "api_key_wrong"
    exit_code = EXIT_FAILED
    hint = "`erllama daemon key` prints the right one."


class HostRefused(ErllamaError):
    """The request is for a host that this daemon does not go by."""

    code = "host_refused"
    exit_code = EXIT_FAILED
    hint = "Ask it as localhost or by its address, or add the name to daemon.http_hosts."


class OriginRefused(ErllamaError):
    """The request comes from a web page that may not ask this daemon."""

    code = "origin_refused"
    exit_code = EXIT_FAILED
    hint = "Add the page's origin to daemon.http_cors_origins, if it is yours."


class OwnerOnly(ErllamaError):
    """{path} is served on the Unix socket alone."""

    code = "owner_only"
    exit_code = EXIT_FAILED
    hint = "Ask there: `erllama daemon status` prints where it is."


class FileOutside(ErllamaError):
    """The request names a file outside the folders that clients on TCP may use."""

    code = "file_outside"
    exit_code = EXIT_FAILED
    hint = "Name a model of the catalog or an alias, or add the file's folder to daemon.http_model_folders."


class BodyTooLarge(ErllamaError):
    """The body of the request has more than {limit} bytes."""

    code = "body_too_large"
    exit_code = EXIT_USAGE
    hint = "Send less at once, or raise daemon.body_bytes."


class HeadTooLarge(ErllamaError):
    """The head of the request has more than {limit}."""

    code = "head_too_large"
    exit_code = EXIT_USAGE
    hint = "Send fewer or shorter headers, or raise daemon.header_bytes or daemon.header_count."


class RequestTooSlow(ErllamaError):
    """The {part} of the request did not come within {seconds:g} s."""

    code = "request_too_slow"
    exit_code = EXIT_FAILED
    hint = "Send it at once. The limits are daemon.header_timeout and daemon.body_timeout."


class RequestMalformed(ErllamaError):
    """What came is no HTTP request: {reason}."""

    code = "request_malformed"
    exit_code = EXIT_USAGE
    hint = "Send HTTP/1.1; where the daemon has a TLS certificate, over TLS."


class TooManyConnections(ErllamaError):
    """{limit} clients are connected already."""

    code = "too_many_connections"
    exit_code = EXIT_FAILED
    hint = "Ask again in a while, over fewer connections, or raise daemon.http_connections or daemon.connections."
