/** File of the registry within the control plane's folder. Apart from the command, so that `weft up` knows it without loading a control plane. */
export const REGISTRY_FILE = "registry.db";
