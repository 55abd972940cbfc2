-- A state as schema version 1 left it: one booking in step, one in doubt, one ring, one refusal, one pass.
-- Frozen: a later version of the bridge has to open it. Do not edit.
CREATE TABLE "meta" ("name" TEXT PRIMARY KEY, "value" TEXT NOT NULL) STRICT;
CREATE TABLE "bookings" (
   "id" TEXT PRIMARY KEY,
   "account" TEXT NOT NULL,
   "acked_version_ms" INTEGER,
   "acked_fingerprint" BLOB NOT NULL,
   "court_id" TEXT,
   "start_ms" INTEGER,
   "end_ms" INTEGER,
   "intended_version_ms" INTEGER,
   "intended_fingerprint" BLOB NOT NULL,
   "seen_fingerprint" BLOB NOT NULL,
   "seen_ms" INTEGER NOT NULL,
   "gone_ms" INTEGER,
   "asked_ms" INTEGER,
   "allowed" INTEGER NOT NULL
) STRICT;
CREATE TABLE "intents" (
   "booking_id" TEXT,
   "version_ms" INTEGER,
   "fingerprint" BLOB NOT NULL,
   "court_id" TEXT,
   "start_ms" INTEGER,
   "end_ms" INTEGER,
   PRIMARY KEY ("booking_id", "version_ms")
) STRICT;
CREATE TABLE "refusals" (
   "booking_id" TEXT PRIMARY KEY,
   "fingerprint" BLOB NOT NULL,
   "reason" TEXT NOT NULL,
   "config" TEXT NOT NULL,
   "at_ms" INTEGER NOT NULL
) STRICT;
CREATE TABLE "rings" (
   "booking_id" TEXT PRIMARY KEY,
   "ring" INTEGER NOT NULL,
   "taken_out" INTEGER NOT NULL,
   "court_id" TEXT NOT NULL,
   "start_ms" INTEGER NOT NULL,
   "end_ms" INTEGER NOT NULL
) STRICT;
CREATE TABLE "held" (
   "booking_id" TEXT,
   "nth" INTEGER,
   "reason" TEXT NOT NULL,
   "detail" TEXT NOT NULL,
   "since_ms" INTEGER NOT NULL,
   PRIMARY KEY ("booking_id", "nth")
) STRICT;
CREATE TABLE "accounts" (
   "account" TEXT PRIMARY KEY,
   "number" INTEGER NOT NULL,
   "listed_ms" INTEGER,
   "listed_count" INTEGER,
   "source_updated_ms" INTEGER
) STRICT;
CREATE TABLE "passes" (
   "id" INTEGER PRIMARY KEY,
   "started_ms" INTEGER NOT NULL,
   "duration_ms" INTEGER NOT NULL,
   "outcome" TEXT NOT NULL,
   "seen" INTEGER NOT NULL,
   "created" INTEGER NOT NULL,
   "updated" INTEGER NOT NULL,
   "deleted" INTEGER NOT NULL,
   "unchanged" INTEGER NOT NULL,
   "ignored" INTEGER NOT NULL,
   "held" INTEGER NOT NULL,
   "withheld" TEXT NOT NULL
) STRICT;
INSERT INTO meta VALUES ('launch27_host', 'acme.launch27.com');
INSERT INTO meta VALUES ('external_service_id', '497f6eca-6276-4993-bfeb-53cbbbba6f08');
INSERT INTO meta VALUES ('id_prefix', '');
INSERT INTO meta VALUES ('adopted', '1');
INSERT INTO bookings VALUES ('1001', 'aa', 5000, x'01', 'c1', 3600000, 7200000, 5000, x'01', x'01', 4000, NULL, NULL, 0);
INSERT INTO bookings VALUES ('1002', 'aa', 5000, x'02', 'c2', 3600000, 7200000, 6000, x'03', x'03', 6000, 6500, 6500, 1);
INSERT INTO intents VALUES ('1002', 6000, x'03', 'c1', 7200000, 9000000);
INSERT INTO refusals VALUES ('1001', x'04', 'court_not_found', 'cfg', 5500);
INSERT INTO rings VALUES ('1001', 7, 1, 'c1', 3600000, 7200000);
INSERT INTO held VALUES ('1001', 0, 'court_not_found', 'there is no such court', 5500);
INSERT INTO accounts VALUES ('aa', 1, 5000, 2, NULL);
INSERT INTO passes VALUES (1, 5000, 184, 'attention', 2, 0, 1, 0, 0, 0, 1, '["1002"]');
PRAGMA user_version = 1;
