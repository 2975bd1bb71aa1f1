"""Makes src/auth/jwt/tests/samples.json: keys and tokens of PyJWT, an implementation that shares nothing with this service.

    python3 -m pip install pyjwt==2.15.1 cryptography==50.0.2
    python3 src/auth/jwt/tests/samples.py > src/auth/jwt/tests/samples.json
"""
import json

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW = 1767225600  # 2026-01-01T00:00:00Z
CLAIMS = {
    "iss": "https://issuer.example",
    "aud": ["other", "invitation-service"],
    "sub": "billing",
    "account": "acme",
    "organization_id": "01920000-0000-7000-8000-00000000000a",
    "scope": "openid invitations.read events.read",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 600,
}

KEYS = {
    "rsa": ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    "rsa-4096": ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=4096)),
    "ec": ("ES256", ec.generate_private_key(ec.SECP256R1())),
    "ed": ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
    # The service refuses the following.
    "rsa-1024": ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    "ec-384": ("ES384", ec.generate_private_key(ec.SECP384R1())),
    "ed-448": ("EdDSA", __import__("cryptography.hazmat.primitives.asymmetric.ed448", fromlist=["x"]).Ed448PrivateKey.generate()),
}


def public(name):
    algorithm, key = KEYS[name]
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return {**made, "kid": name, "use": "sig", "alg": algorithm}


def token(name, algorithm=None, kid=None, **claims):
    default, key = KEYS[name]
    return jwt.encode({**CLAIMS, **claims}, key, algorithm or default, {"kid": kid or name})


print(json.dumps({
    "jwks": {"keys": [public(name) for name in KEYS]},
    "accepted": {name: token(name) for name in ["rsa", "rsa-4096", "ec", "ed"]},
    "refused": {
        "a key of 1024 bits": token("rsa-1024"),
        "another curve": token("ec-384"),
        "another curve of EdDSA": token("ed-448"),
        "another hash": token("rsa", "RS512"),
        "PSS": token("rsa", "PS256"),
        "another key": token("rsa", kid="rsa-4096"),
        "a key of another kind": token("rsa", kid="ec"),
        "no algorithm": jwt.encode(CLAIMS, None, "none", {"kid": "rsa"}),
        "a shared secret": jwt.encode(CLAIMS, "k" * 64, "HS256", {"kid": "rsa"}),
        "another issuer": token("rsa", iss="https://other.example"),
        "another audience": token("rsa", aud="other"),
        "the past": token("rsa", iat=NOW - 700, nbf=NOW - 700, exp=NOW - 31),
        "the future": token("rsa", nbf=NOW + 31),
    },
}, indent=1))
