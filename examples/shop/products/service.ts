import type { DatabaseSync } from "node:sqlite";
import { service, WeftError } from "weftmesh";
import { Products } from "../gen/shop/products/v1/products.ts";
import { cutPage, pageOf } from "../shared/page.ts";

export const PRODUCTS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS products
    (id TEXT PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, price_cents INTEGER NOT NULL, stars REAL NOT NULL, ratings INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO products VALUES
    ('bobbin', 'Bobbin', 'Holds the weft yarn inside the shuttle', 450, 4.2, 81),
    ('heddle', 'Heddle', 'Guides one warp thread; sold by the hundred', 1290, 4.7, 212),
    ('loom', 'Table loom', 'Eight shafts, 60 cm weaving width', 48900, 4.9, 34),
    ('reed', 'Reed', 'Keeps the warp apart and beats the weft, 40 dents to 10 cm', 3450, 4.4, 57),
    ('shuttle', 'Boat shuttle', 'Carries the weft from side to side', 2200, 4.6, 133),
    ('yarn', 'Linen yarn', '250 g, natural', 990, 4.1, 402);
`;

interface ProductRow {
  id: string;
  name: string;
  description: string;
  price_cents: number;
  stars: number;
  ratings: number;
}

/** Version v1 of the service knows no ratings; v2 does. Both read the same data. */
export function createProducts(db: DatabaseSync, version: string) {
  const byId = db.prepare("SELECT * FROM products WHERE id = ?");
  const page = db.prepare("SELECT * FROM products WHERE id > ? ORDER BY id LIMIT ?");

  const productOf = (row: ProductRow) => ({
    id: row.id,
    name: row.name,
    description: row.description,
    priceCents: row.price_cents,
    rating: version === "v2" ? { stars: row.stars, count: row.ratings } : undefined,
  });

  return service(Products, {
    getProduct({ id }) {
      const row = byId.get(id) as ProductRow | undefined;
      if (row === undefined)
        throw new WeftError("not_found", `there is no product "${id}"`, { reason: "NO_SUCH_PRODUCT" });
      return productOf(row);
    },

    listProducts(request) {
      const wanted = pageOf(request);
      const { items, nextPageToken } = cutPage(
        page.all(wanted.after, wanted.limit + 1) as unknown as ProductRow[],
        wanted,
      );
      return { products: items.map(productOf), nextPageToken };
    },
  });
}
