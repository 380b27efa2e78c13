"""The tables of the sandbox's GitHub, in the words of its API.

``moments`` numbers comments, events and reviews in one sequence: their ids tell the order within a second.
"""

from __future__ import annotations

SCHEMA = """
create table if not exists users (
  id integer primary key autoincrement, login text not null unique collate nocase, kind text not null,
  name text, token_hash text unique, created_at text not null);
create table if not exists repos (
  id integer primary key autoincrement, owner_id integer not null references users, name text not null collate nocase,
  default_branch text not null, private integer not null default 0, created_at text not null,
  unique (owner_id, name));
create table if not exists grants (
  repo_id integer not null references repos, user_id integer not null references users, permission text not null,
  primary key (repo_id, user_id));
create table if not exists labels (
  id integer primary key autoincrement, repo_id integer not null references repos, name text not null collate nocase,
  color text not null, description text, unique (repo_id, name));
create table if not exists issues (
  id integer primary key autoincrement, repo_id integer not null references repos, number integer not null,
  is_pull integer not null, title text not null, body text, state text not null default 'open', state_reason text,
  author_id integer not null references users, created_at text not null, updated_at text not null, closed_at text,
  closed_by_id integer references users, unique (repo_id, number));
create index if not exists issues_by_update on issues (repo_id, updated_at);
create table if not exists issue_labels (
  issue_id integer not null references issues, label_id integer not null references labels on delete cascade,
  primary key (issue_id, label_id));
create table if not exists issue_assignees (
  issue_id integer not null references issues, user_id integer not null references users,
  primary key (issue_id, user_id));
create table if not exists moments (id integer primary key autoincrement);
create table if not exists comments (
  id integer primary key, issue_id integer not null references issues,
  author_id integer not null references users, body text not null, created_at text not null, updated_at text not null);
create index if not exists comments_by_issue on comments (issue_id);
create table if not exists reactions (
  id integer primary key autoincrement, subject text not null, subject_id integer not null,
  user_id integer not null references users, content text not null, created_at text not null,
  unique (subject, subject_id, user_id, content));
create table if not exists events (
  id integer primary key, issue_id integer not null references issues,
  actor_id integer not null references users, event text not null, created_at text not null,
  label_name text, label_color text, assignee_id integer references users, commit_id text, state_reason text,
  renamed_from text, renamed_to text, source_issue_id integer references issues);
create index if not exists events_by_issue on events (issue_id);
create table if not exists pulls (
  issue_id integer primary key references issues, head_ref text not null, head_sha text not null,
  base_ref text not null, base_sha text not null, draft integer not null default 0, merged_at text,
  merged_by_id integer references users, merge_commit_sha text);
create table if not exists merges_under_way (
  issue_id integer primary key references issues, commit_sha text not null, actor_id integer not null references users);
create table if not exists reviews (
  id integer primary key, issue_id integer not null references issues,
  author_id integer not null references users, state text not null, body text not null, commit_id text not null,
  submitted_at text not null);
create table if not exists apps (
  id integer primary key autoincrement, slug text not null unique, public_key text not null,
  token_seconds integer not null);
create table if not exists installations (
  id integer primary key autoincrement, app_id integer not null references apps, account text not null,
  created_at text not null);
create table if not exists app_tokens (
  token_hash text primary key, app_id integer not null references apps, expires_at text not null);
create table if not exists requests (
  id integer primary key autoincrement, time text not null, method text not null, path text not null,
  login text, status integer not null, body_hash text, body text);
"""

REVIEW_COMMENTS = """
create table if not exists review_comments (
  id integer primary key, issue_id integer not null references issues,
  author_id integer not null references users, body text not null, path text not null, line integer not null,
  commit_id text not null, created_at text not null, updated_at text not null);
"""
