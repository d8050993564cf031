#!/bin/sh
# redis-server at port $1 that keeps nothing.
exec redis-server --port "$1" --bind 127.0.0.1 --save "" --appendonly no
