import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import type { CallOptions, Client, ClientInterceptor } from "../call/client-types.ts";
import { createDirectClient, type DirectClient } from "../call/direct.ts";
import { Admin } from "../contract/gen/weft/control/v1/control.ts";
import { parseControlPin } from "../core/control-pin.ts";
import { toWeftError, WeftError } from "../core/errors.ts";
import { systemRandom } from "../core/random.ts";
import { ControlAddresses } from "../link/control-addresses.ts";
import { ControlSecurity, isOnThisMachine } from "../link/control-security.ts";

/**
 * How tools speak with the control plane: over TLS where WEFT_CONTROL_PIN says by what it is known, otherwise (null) in plain text, which it takes on its own machine. Rejects
 * where it does not prove to be that one.
 */
export async function toolSecurity(address: string): Promise<ControlSecurity | null> {
  const text = process.env.WEFT_CONTROL_PIN ?? "";
  if (text === "") return null;
  const pin = parseControlPin(text);
  if (pin === null) {
    const message = `WEFT_CONTROL_PIN: "${text.slice(0, 200)}" is none; \`weft ca status\` prints it: SYSTEM/DIGEST`;
    throw new WeftError("invalid_argument", message, { reason: "BAD_CONTROL_PIN" });
  }
  const security = new ControlSecurity({ address, pin });
  await security.prepare();
  return security;
}

/** A client of whichever control plane answers. */
export interface ControlClient<S extends DescService> {
  readonly client: Client<S>;
  close(): Promise<void>;
}

/**
 * A client of the control plane, or of one of several: the first in a random order that answers, and when that fails, for what changes nothing, the next. `secret`: it sends a
 * token, which goes to no other machine in plain text.
 */
export async function controlClient<S extends DescService>(
  desc: S,
  address: string,
  secret = false,
): Promise<ControlClient<S>> {
  const security = await toolSecurity(address);
  const interceptors = withAdminToken(process.env.WEFT_ADMIN_TOKEN ?? "");
  if ((secret || interceptors.length > 0) && security === null && !isOnThisMachine(address))
    throw new WeftError(
      "failed_precondition",
      `a token would be shown to ${address} in plain text; set WEFT_CONTROL_PIN, which \`weft ca status\` prints on the control plane's machine`,
      { reason: "PLAIN_TEXT_REFUSED" },
    );
  const addresses = new ControlAddresses(address, systemRandom);
  if (addresses.count === 1)
    return createDirectClient(desc, addresses.current, { ...security?.direct(false), interceptors });
  return new OneOfSeveral(desc, addresses, { ...security?.direct(false), interceptors });
}

class OneOfSeveral<S extends DescService> implements ControlClient<S> {
  readonly client: Client<S>;
  readonly #desc: S;
  readonly #addresses: ControlAddresses;
  readonly #options: ToolOptions;
  #direct: Promise<DirectClient<S>> | null = null;

  constructor(desc: S, addresses: ControlAddresses, options: ToolOptions) {
    this.#desc = desc;
    this.#addresses = addresses;
    this.#options = options;
    const methods: Record<string, unknown> = {};
    for (const method of desc.methods) {
      methods[method.localName] =
        method.methodKind === "unary"
          ? (request: unknown, options?: CallOptions) => this.#unary(method, request, options)
          : (request: unknown, options?: CallOptions) => this.#streaming(method, request, options);
    }
    this.client = methods as Client<S>;
  }

  /** Bound: commands take it apart from the client. */
  readonly close = async (): Promise<void> => {
    const direct = await this.#direct?.catch(() => null);
    this.#direct = null;
    await direct?.close();
  };

  async #unary(method: DescMethod, request: unknown, options?: CallOptions): Promise<unknown> {
    for (let tried = 1; ; tried++) {
      const direct = await this.#chosen();
      try {
        return await callOf<Promise<unknown>>(direct, method)(request, options);
      } catch (thrown) {
        if (!isAway(thrown)) throw thrown;
        // The next call, if not this one, goes to another.
        this.#moveOn(direct);
        if (method.idempotency !== Idempotency.NO_SIDE_EFFECTS || tried >= this.#addresses.count) throw thrown;
      }
    }
  }

  async *#streaming(method: DescMethod, request: unknown, options?: CallOptions): AsyncGenerator<unknown> {
    const direct = await this.#chosen();
    try {
      yield* callOf<AsyncIterable<unknown>>(direct, method)(request, options);
    } catch (thrown) {
      if (isAway(thrown)) this.#moveOn(direct);
      throw thrown;
    }
  }

  #chosen(): Promise<DirectClient<S>> {
    return (this.#direct ??= this.#choose());
  }

  /** The first that answers anything; the last one where none does, whose failure then tells. */
  async #choose(): Promise<DirectClient<S>> {
    const options = this.#options;
    for (let tried = 1; tried < this.#addresses.count; tried++) {
      const { client, close } = createDirectClient(Admin, this.#addresses.current, options);
      const answered = await client.getStatus({}, { timeoutMs: PROBE_MS }).then(
        () => true,
        (thrown) => !isAway(thrown),
      );
      await close();
      if (answered) break;
      this.#addresses.advance();
    }
    return createDirectClient(this.#desc, this.#addresses.current, options);
  }

  #moveOn(from: DirectClient<S>): void {
    this.#direct = null;
    this.#addresses.advance();
    void from.close();
  }
}

/** Shows WEFT_ADMIN_TOKEN with what shows no other. */
function withAdminToken(token: string): ClientInterceptor[] {
  if (token === "") return [];
  return [
    (next) => (request) => {
      if (request.metadata.get("authorization") === undefined) request.metadata.set("authorization", `Bearer ${token}`);
      return next(request);
    },
  ];
}

interface ToolOptions extends Partial<ReturnType<ControlSecurity["direct"]>> {
  readonly interceptors: readonly ClientInterceptor[];
}

function callOf<R>(direct: { client: object }, method: DescMethod): (request: unknown, options?: CallOptions) => R {
  return (direct.client as Record<string, (request: unknown, options?: CallOptions) => R>)[method.localName];
}

function isAway(thrown: unknown): boolean {
  const { code } = toWeftError(thrown);
  return code === "unavailable" || code === "deadline_exceeded";
}

/** Of a control plane that is paused nothing comes, though it can be connected to. */
const PROBE_MS = 1_000;
