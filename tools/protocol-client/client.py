#!/usr/bin/env python3
"""A client of a zk0 federation, written from docs/protocol.md alone.

It shares no code with the product: it checks that the page is enough to write a client. It enrols, joins, waits for one task, fetches
the parameters, sends an update and reports. It needs Python 3.9 and the package `cryptography`.

    python3 tools/protocol-client/client.py --url http://127.0.0.1:9092 --token zk0-...

With --record FILE it writes down every request and answer. With --private-key, --created and --nonce these are the same each time:
that is how packages/transport/test/golden/exchange.json was made.
"""

import argparse
import array
import base64
import hashlib
import http.client
import json
import os
import struct
import sys
import time
import urllib.parse

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

VERSION = 2


# msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md): what JSON can say.


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return (bytes([0xA0 | len(data)]) if len(data) < 32 else b"\xdb" + struct.pack(">I", len(data))) + data
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    if isinstance(value, dict):
        head = bytes([0x80 | len(value)]) if len(value) < 16 else b"\xdf" + struct.pack(">I", len(value))
        return head + b"".join(pack(key) + pack(item) for key, item in value.items())
    raise TypeError(f"cannot pack {type(value).__name__}")


def unpack(data):
    value, end = _unpack(data, 0)
    if end != len(data):
        raise ValueError("bytes after the message")
    return value


def _unpack(data, at):
    kind = data[at]
    at += 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 256, at
    if kind < 0x90:
        return _unpack_map(data, at, kind & 0x0F)
    if kind < 0xA0:
        return _unpack_list(data, at, kind & 0x0F)
    if kind < 0xC0:
        return data[at : at + (kind & 0x1F)].decode(), at + (kind & 0x1F)
    if kind in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[kind], at
    numbers = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    if kind in numbers:
        size = struct.calcsize(numbers[kind])
        return struct.unpack(numbers[kind], data[at : at + size])[0], at + size
    lengths = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}
    if kind not in lengths:
        raise ValueError(f"byte {kind:#x} is not expected")
    size = struct.calcsize(lengths[kind])
    (length,) = struct.unpack(lengths[kind], data[at : at + size])
    at += size
    if kind <= 0xDB:
        return data[at : at + length].decode(), at + length
    return _unpack_list(data, at, length) if kind <= 0xDD else _unpack_map(data, at, length)


def _unpack_list(data, at, count):
    items = []
    for _ in range(count):
        item, at = _unpack(data, at)
        items.append(item)
    return items, at


def _unpack_map(data, at, count):
    result = {}
    for _ in range(count):
        key, at = _unpack(data, at)
        result[key], at = _unpack(data, at)
    return result, at


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def content_digest(body):
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


class Refused(Exception):
    pass


class Client:
    def __init__(self, options):
        url = urllib.parse.urlsplit(options.url)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(url.hostname, url.port, timeout=60)
        self.prefix = url.path.rstrip("/")
        seed = bytes.fromhex(options.private_key) if options.private_key else None
        self.key = Ed25519PrivateKey.from_private_bytes(seed) if seed else Ed25519PrivateKey.generate()
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public_key = base64url(raw)
        self.fingerprint = base64url(hashlib.sha256(raw).digest())
        self.identity = {"zk0-client": options.client_id, "zk0-instance": options.instance}
        self.options = options
        self.count = 0
        self.exchange = []

    def sign(self, method, target, headers):
        """The headers Signature-Input and Signature (docs/protocol.md, "The signature")."""
        self.count += 1
        created = self.options.created or int(time.time())
        nonce = f"{self.options.nonce}{self.count:04d}" if self.options.nonce else base64url(os.urandom(16))
        path, _, query = target.partition("?")
        covered = [("@method", method), ("@path", path), ("@query", "?" + query)]
        covered += [
            (name, value)
            for name, value in headers.items()
            if name in ("content-digest", "range") or name.startswith(("zk0-", "upload-"))
        ]
        names = " ".join(f'"{name}"' for name, _ in covered)
        parameters = f'({names});created={created};nonce="{nonce}";keyid="{self.fingerprint}";alg="ed25519"'
        lines = [f'"{name}": {value}' for name, value in covered] + [f'"@signature-params": {parameters}']
        signature = base64.b64encode(self.key.sign("\n".join(lines).encode())).decode()
        return {"signature-input": f"zk0={parameters}", "signature": f"zk0=:{signature}:"}

    def request(self, method, target, headers=None, body=b"", digest=False):
        head = {**self.identity, **(headers or {})}
        if digest:
            head["content-digest"] = content_digest(body)
        head.update(self.sign(method, target, head))
        self.connection.request(method, self.prefix + target, body=body if method != "GET" else None, headers=head)
        reply = self.connection.getresponse()
        answer = reply.read()
        if self.options.record:
            encoded = base64.b64encode
            self.exchange.append(
                {
                    "request": {"method": method, "target": target, "headers": head, "body": encoded(body).decode()},
                    "answer": {"status": reply.status, "body": encoded(answer).decode()},
                }
            )
        if reply.getheader("zk0-protocol") is None:
            raise Refused(f"{method} {target}: something else answered ({reply.status})")
        given = reply.getheader("content-digest")
        if reply.getheader("content-type") == "application/msgpack" and given != content_digest(answer):
            raise Refused(f"{method} {target}: the answer was damaged on its way")
        if reply.status >= 400:
            error = unpack(answer)["body"]
            raise Refused(f"{method} {target}: {reply.status} {error['code']}: {error['message']}")
        return reply, answer

    def message(self, kind, body, target="/messages"):
        message = pack({"v": VERSION, "type": kind, "body": body})
        _, answer = self.request("POST", target, {"content-type": "application/msgpack"}, message, digest=True)
        envelope = unpack(answer)
        while envelope["type"] == "pending":
            # Not answered yet: the same message is sent again.
            time.sleep(1)
            _, answer = self.request("POST", target, {"content-type": "application/msgpack"}, message, digest=True)
            envelope = unpack(answer)
        if envelope["type"] != kind:
            raise Refused(f"{kind} was answered with {envelope['type']}")
        return envelope["body"]

    def enroll(self, token, dataset):
        body = {"token": token, "publicKey": self.public_key, "dataset": dataset}
        answer = self.message("enroll", body, "/enroll")
        self.identity["zk0-server"] = answer["serverId"]
        return answer

    def download(self, blob):
        half = blob["byteLength"] // 2
        parts = []
        # In two pieces, as after a cut.
        for wanted in (f"bytes=0-{half - 1}", f"bytes={half}-"):
            reply, part = self.request("GET", f"/blobs/{blob['hash']}", {"range": wanted})
            if reply.status != 206:
                raise Refused(f"status {reply.status} instead of 206")
            parts.append(part)
        data = b"".join(parts)
        if hashlib.sha256(data).hexdigest() != blob["hash"]:
            raise Refused("the parameters do not have their hash")
        return data

    def upload_state(self, method, name, headers, body=b""):
        _, answer = self.request(method, f"/uploads/{name}", headers, body)
        envelope = unpack(answer)
        if envelope["type"] != "upload":
            raise Refused(f"an upload was answered with {envelope['type']}")
        return envelope["body"]

    def upload(self, data):
        name = hashlib.sha256(data).hexdigest()
        length = {"upload-length": str(len(data))}
        upload = self.upload_state("POST", name, length)
        while upload["state"] != "complete":
            if upload["state"] == "checking":
                time.sleep(1)
                upload = self.upload_state("POST", name, length)
                continue
            # In two pieces, as through a proxy that bounds the size of a body.
            offset = upload["offset"]
            piece = data[offset : offset + (len(data) + 1) // 2]
            head = {**length, "upload-offset": str(offset), "content-type": "application/octet-stream"}
            upload = self.upload_state("PATCH", name, head, piece)
        return {"hash": name, "byteLength": len(data)}


def train(parameters):
    """Stands for training: every float32 tensor of a safetensors file, times 1 + 2^-10."""
    (length,) = struct.unpack("<Q", parameters[:8])
    header = json.loads(parameters[8 : 8 + length])
    data = bytearray(parameters)
    for name, tensor in header.items():
        if name == "__metadata__" or tensor["dtype"] != "F32":
            continue
        begin, end = (8 + length + offset for offset in tensor["data_offsets"])
        values = array.array("f", bytes(data[begin:end]))
        data[begin:end] = array.array("f", [value * (1 + 2**-10) for value in values]).tobytes()
    return bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--client-id", default="python-client")
    parser.add_argument("--instance", default="python-1")
    parser.add_argument("--dataset", default="none")
    parser.add_argument("--profile", default="{}", help="JSON that the application asks for when a client joins")
    parser.add_argument("--record", help="write requests and answers to this file")
    parser.add_argument("--private-key", help="32 bytes in hex; a new key when absent")
    parser.add_argument("--created", type=int, help="the time of every signature, in seconds since 1970")
    parser.add_argument("--nonce", help="what every nonce begins with")
    options = parser.parse_args()

    client = Client(options)
    try:
        enrolled = client.enroll(options.token, options.dataset)
        print(f"enrolled as {enrolled['clientId']}, {enrolled['state']}, key {enrolled['fingerprint']}")
        joined = client.message("join", {"name": "Python", "agent": "protocol-client/1", "profile": json.loads(options.profile)})
        if not joined["accepted"]:
            raise Refused(f"not accepted: {joined['code']}: {joined['message']}")
        client.message("heartbeat", {})
        task = None
        while task is None:
            task = client.message("poll", {})["task"]
        print(f"task {task['taskId']}: {task['kind']}, round {task['round']}")
        parameters = client.download(task["parameters"])
        progress = {"taskId": task["taskId"], "phase": "training", "step": 1, "totalSteps": 2, "loss": 0.5}
        if not client.message("heartbeat", {"progress": progress})["continue"]:
            raise Refused("the task is not wanted any more")
        update = client.upload(train(parameters))
        outcome = {"ok": True, "update": update, "numExamples": 64, "metrics": {"loss": 0.25}}
        result = {key: task[key] for key in ("taskId", "runId", "round", "attempt")}
        status = client.message("result", {**result, "outcome": outcome})["status"]
        client.message("leave", {})
        print(f"result: {status}")
        return 0 if status == "accepted" else 1
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        if options.record:
            with open(options.record, "w", encoding="utf-8") as file:
                json.dump(client.exchange, file, indent=1)
                file.write("\n")


if __name__ == "__main__":
    sys.exit(main())
