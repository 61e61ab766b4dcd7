"""The table of the daemon itself: its life, its log, where it listens, and what it bears."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from erllama_daemon.config.names import Folders, Hosts, Origins
from erllama_daemon.config.values import Address, ByteSize, Duration, Span


class DaemonConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the daemon lives."""

    idle_exit: Annotated[
        Span | None,
        Meta(
            description="End a daemon that holds no model and was asked nothing for so long.",
            examples=["12h"],
            extra={"default": "never"},
        ),
    ] = None
    log_bytes: Annotated[
        ByteSize, Meta(ge=1, description="Put the log aside when it has grown to this.", extra={"value": "10 MiB"})
    ] = ByteSize(10 << 20)
    log_format: Annotated[
        Literal["text", "json"], Meta(description="How a line of the log is written; json is one object a line.")
    ] = "text"
    log_files: Annotated[int, Meta(ge=0, le=1000, description="So many logs that were put aside are kept.")] = 3
    log_prompts: Annotated[
        bool, Meta(description="Log what is asked and answered, private requests apart.", extra={"value": "false"})
    ] = False
    http: Annotated[
        Address | None,
        Meta(
            description="Serve on TCP too, at this address, to who has the key.",
            examples=["127.0.0.1:8080", "127.0.0.1:0"],
            extra={"default": "the Unix socket alone"},
        ),
    ] = None
    http_tls_cert: Annotated[
        str | None,
        Meta(
            min_length=1,
            description="The file of the TLS certificate, with those above it.",
            examples=["/home/me/tls/cert.pem"],
            extra={"default": "no TLS"},
        ),
    ] = None
    http_tls_key: Annotated[
        str | None,
        Meta(
            min_length=1,
            description="The file of the certificate's private key.",
            examples=["/home/me/tls/key.pem"],
            extra={"default": "no TLS"},
        ),
    ] = None
    http_hosts: Annotated[
        Hosts | None,
        Meta(
            description="Names by which this machine may be asked on TCP, besides localhost.",
            examples=["llama.example.org"],
            extra={"default": "none"},
        ),
    ] = None
    http_cors_origins: Annotated[
        Origins | None,
        Meta(
            description="Web pages that may ask on TCP, by their origins.",
            examples=["https://chat.example.org"],
            extra={"default": "none"},
        ),
    ] = None
    http_model_folders: Annotated[
        Folders | None,
        Meta(
            description="Folders whose models and adapters a request on TCP may name by path.",
            examples=["/home/me/models"],
            extra={"default": "none"},
        ),
    ] = None
    http_connections: Annotated[
        int, Meta(ge=1, le=65536, description="So many clients may be connected on TCP at once.")
    ] = 256
    connections: Annotated[
        int, Meta(ge=1, le=65536, description="So many clients may be connected to the Unix socket at once.")
    ] = 256
    body_bytes: Annotated[
        ByteSize, Meta(ge=1, description="The longest body of a request.", extra={"value": "32 MiB"})
    ] = ByteSize(32 << 20)
    header_bytes: Annotated[
        ByteSize,
        Meta(ge=1024, description="The longest head of a request, all headers together.", extra={"value": "32 KiB"}),
    ] = ByteSize(32 << 10)
    header_count: Annotated[int, Meta(ge=8, le=10_000, description="How many headers a request may have.")] = 100
    header_timeout: Annotated[
        Duration,
        Meta(gt=0, description="How long a client may take to send the head of a request.", extra={"value": "10s"}),
    ] = Duration(10.0)
    body_timeout: Annotated[
        Duration,
        Meta(gt=0, description="How long a client may pause within the body of a request.", extra={"value": "30s"}),
    ] = Duration(30.0)
    write_timeout: Annotated[
        Duration,
        Meta(gt=0, description="Cut off a client that takes nothing of an answer for so long.", extra={"value": "60s"}),
    ] = Duration(60.0)
    idle_timeout: Annotated[
        Duration,
        Meta(gt=0, description="Hang up on a client that asks nothing more for so long.", extra={"value": "60s"}),
    ] = Duration(60.0)
