-- The tables of the hooklatch receiver kits, for MySQL 8 and MariaDB 10.6 and later. Running this
-- again changes nothing. Keys are bytes: under a collation of texts `evt_A`, `evt_a` and `evt_A `
-- would be one event. Times are microseconds since 1970, by the server's clock.
-- The primary key is the only index: a second one, on times, would have to be written with every claim.
-- Sweeps look through a part of the table at a time instead. A completion writes the row alone.
CREATE TABLE IF NOT EXISTS hooklatch_claims (
    `key`       VARBINARY(32)    NOT NULL PRIMARY KEY,
    -- 1 processing, 2 completed, 3 released, 4 dead
    state       TINYINT UNSIGNED NOT NULL,
    token       VARBINARY(16)    NOT NULL,
    fence       BIGINT           NOT NULL,
    epoch       BIGINT           NOT NULL,
    generation  INT UNSIGNED     NOT NULL,
    -- 1 first, 2 retry, 3 takeover, 4 first again after the retention, 5 forced replay
    origin      TINYINT UNSIGNED NOT NULL,
    fingerprint VARBINARY(32)    NOT NULL,
    attempt     INT UNSIGNED     NOT NULL,
    -- Processing: the end of the lease. Released: when it may be tried again. Completed and dead:
    -- when the record may go.
    until_at    BIGINT           NOT NULL,
    result      MEDIUMBLOB       NULL,
    error       VARBINARY(1024)  NULL,
    provider    VARBINARY(255)   NOT NULL DEFAULT '',
    event_type  VARBINARY(255)   NOT NULL DEFAULT '',
    -- In milliseconds, by the receiver's clock.
    received_at BIGINT           NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS hooklatch_steps (
    `key`      VARBINARY(32)  NOT NULL,
    epoch      BIGINT         NOT NULL,
    generation INT UNSIGNED   NOT NULL,
    step       VARBINARY(128) NOT NULL,
    result     MEDIUMBLOB     NOT NULL,
    PRIMARY KEY (`key`, epoch, generation, step)
) ENGINE = InnoDB;
