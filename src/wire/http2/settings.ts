import { ErrorCode } from "./errors.ts";
import { INITIAL_WINDOW_BYTES, MAX_UINT31, MIN_MAX_FRAME_BYTES, readUint32 } from "./frame.ts";

/** What one side tells the other about itself. Source: RFC 9113 section 6.5.2, RFC 8441 section 3. */
export interface PeerSettings {
  headerTableSize: number;
  enablePush: boolean;
  /** Infinity until the peer names a limit. */
  maxConcurrentStreams: number;
  initialWindowSize: number;
  maxFrameSize: number;
  maxHeaderListSize: number;
  enableConnectProtocol: boolean;
}

export const SettingId = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

/** The values before the first SETTINGS frame. */
export function defaultPeerSettings(): PeerSettings {
  return {
    headerTableSize: 4096,
    enablePush: true,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowSize: INITIAL_WINDOW_BYTES,
    maxFrameSize: MIN_MAX_FRAME_BYTES,
    maxHeaderListSize: Number.POSITIVE_INFINITY,
    enableConnectProtocol: false,
  };
}

/**
 * Applies the payload [start, end) of a SETTINGS frame, in order, to `settings`. Returns an HTTP/2 error code, 0 when all is well.
 * Unknown settings are ignored. `fromServer`: a server must not announce push.
 */
export function applySettings(
  settings: PeerSettings,
  payload: Uint8Array,
  start: number,
  end: number,
  fromServer: boolean,
): number {
  for (let at = start; at < end; at += 6) {
    const id = (payload[at] << 8) | payload[at + 1];
    const value = readUint32(payload, at + 2);
    switch (id) {
      case SettingId.headerTableSize:
        settings.headerTableSize = value;
        break;
      case SettingId.enablePush:
        if (value > 1 || (fromServer && value === 1)) return ErrorCode.protocolError;
        settings.enablePush = value === 1;
        break;
      case SettingId.maxConcurrentStreams:
        settings.maxConcurrentStreams = value;
        break;
      case SettingId.initialWindowSize:
        if (value > MAX_UINT31) return ErrorCode.flowControlError;
        settings.initialWindowSize = value;
        break;
      case SettingId.maxFrameSize:
        if (value < MIN_MAX_FRAME_BYTES || value > 0xff_ffff) return ErrorCode.protocolError;
        settings.maxFrameSize = value;
        break;
      case SettingId.maxHeaderListSize:
        settings.maxHeaderListSize = value;
        break;
      case SettingId.enableConnectProtocol:
        if (value > 1 || (settings.enableConnectProtocol && value === 0)) return ErrorCode.protocolError;
        settings.enableConnectProtocol = value === 1;
        break;
    }
  }
  return ErrorCode.noError;
}
