import { widthOf } from "./terminal.ts";

/** A cell: its text, and what colours it. Colours take no room. */
export interface Cell {
  readonly text: string;
  readonly style?: (text: string) => string;
}

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Rows under aligned titles, two spaces apart, nothing behind the last column. */
export function formatColumns(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  titleStyle: (text: string) => string,
): string[] {
  const widths = columns.map(({ title }, i) => Math.max(widthOf(title), ...rows.map((row) => widthOf(row[i].text))));
  const line = (cells: readonly Cell[]): string => {
    let out = "";
    let blank = "";
    for (const [i, { text, style }] of cells.entries()) {
      const padding = " ".repeat(Math.max(0, widths[i] - widthOf(text)));
      const styled = text === "" || style === undefined ? text : style(text);
      const cell = columns[i].align === "right" ? padding + styled : styled + padding;
      // Padding is only written when something follows it.
      if (text === "") blank += `${padding}  `;
      else {
        out += blank + (columns[i].align === "right" ? cell : styled);
        blank = `${columns[i].align === "right" ? "" : padding}  `;
      }
    }
    return out;
  };
  return [line(columns.map(({ title }) => ({ text: title, style: titleStyle }))), ...rows.map(line)];
}
