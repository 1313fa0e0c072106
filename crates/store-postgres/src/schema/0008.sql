-- Sums of what is settled, for each minute (level 1) and each hour (2); `at` in minutes since 1970.
-- `summed_arrivals` and `summed_attempts` in `meta` say up to which numbers. All of it can be made
-- again from history.
--
-- Binaries of version 1 know nothing of it and need nothing of it. What they record late, beside
-- newer ones, is missing from the sums.
CREATE TABLE hooklatch.stats (
    project bigint NOT NULL, level bigint NOT NULL, at bigint NOT NULL, kind bigint NOT NULL,
    subject bigint NOT NULL, outcome bigint NOT NULL, why bigint NOT NULL, many bigint NOT NULL,
    millis bigint NOT NULL,
    PRIMARY KEY (project, level, at, kind, subject, outcome, why)
);
-- Attempts that were recorded so late that their minute may be summed already.
CREATE TABLE hooklatch.stats_late (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, attempt bigint NOT NULL,
    project bigint NOT NULL, endpoint bigint, outcome bigint NOT NULL, trigger bigint NOT NULL,
    millis bigint NOT NULL, sign bigint NOT NULL
);
-- The last request of each source that was not refused, up to `summed_arrivals`.
CREATE TABLE hooklatch.stats_last (
    source bigint PRIMARY KEY, project bigint NOT NULL, id bigint NOT NULL
);
INSERT INTO hooklatch.meta VALUES ('summed_arrivals', 0), ('summed_attempts', 0);

-- How a thing was before and after a change, by the number of the line in `audit`.
CREATE TABLE hooklatch.audit_details (id bigint PRIMARY KEY, before text, after text);
-- When API keys were last used, to the minute.
CREATE TABLE hooklatch.key_used (key bigint PRIMARY KEY, at bigint NOT NULL);
