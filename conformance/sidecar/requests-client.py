"""requests-client.py COUNT METHOD URL [HEADER:VALUE...]: one session of Python's requests; prints how often each answer came."""
import collections, json, sys
import requests

count, method, url, *headers = sys.argv[1:]
session = requests.Session()
session.headers.update(header.split(":", 1) for header in headers)
answers = collections.Counter()
for _ in range(int(count)):
    response = session.request(method, url, timeout=20, data=b"abc" if method == "POST" else None)
    told = response.json()
    answers[f'{response.status_code} {told.get("version") or told.get("reason", "")}'] += 1
print("\n".join(f"{answer}: {times}" for answer, times in sorted(answers.items())))
