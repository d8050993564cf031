import assert from "node:assert/strict";
import { test } from "node:test";
import { requestHead } from "../wire/head.ts";
import { factsOf, isGrpcContentType } from "./upstream-head.ts";

const fields = ["content-type", "application/grpc", "grpc-timeout", "1S", "x-a", "1"];

test("a head without changes is sent as it came", () => {
  const head = requestHead("POST", "http", "a", "/s/m", fields);
  assert.equal(factsOf(head).upstreamHead(null, null, "", "", false), head);
});

test("the same changes of the same head are made once", () => {
  const head = requestHead("POST", "http", "a", "/s/m", fields);
  const add = ["x-b", "2"];
  const first = factsOf(head).upstreamHead(add, null, "", "", true);
  assert.equal(factsOf(head).upstreamHead(add, null, "", "", true), first);
  assert.deepEqual(first.fields, ["content-type", "application/grpc", "x-a", "1", "x-b", "2"]);
  assert.notEqual(factsOf(head).upstreamHead(["x-b", "3"], null, "", "", true), first);
});

test("removal comes before addition, and path and authority are rewritten", () => {
  const head = requestHead("GET", "http", "a", "/old?q=1", ["x-a", "1", "x-c", "3"]);
  const changed = factsOf(head).upstreamHead(["x-a", "2"], ["x-a"], "/new?q=1", "b", false);
  assert.deepEqual([changed.authority, changed.path, changed.fields], ["b", "/new?q=1", ["x-c", "3", "x-a", "2"]]);
});

test("gRPC is told from gRPC-Web and others by its content-type", () => {
  const yes = ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"];
  const no = ["application/grpc-web", "application/grpc-web+proto", "application/json", "application/grpcx"];
  assert.deepEqual(yes.map(isGrpcContentType), [true, true, true]);
  assert.deepEqual(no.map(isGrpcContentType), [false, false, false, false]);
});
