/**
 * The protobuf runtime, under one name. Generated code imports nothing else, so that it also resolves where a package manager lets
 * a project import only what it lists itself.
 */
export * from "@bufbuild/protobuf";
export * from "@bufbuild/protobuf/codegenv2";
export * from "@bufbuild/protobuf/wkt";
