//! Commands that the user gives: to count effects, and to kill and start the receiver. Their text
//! and what they print may hold secrets, and is never shown.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// How long a command may take.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How much of what it prints is read.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Why a command gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// It did not start, or could not be waited for.
    #[error("it does not start")]
    Io(#[from] std::io::Error),
    /// It did not end.
    #[error("it did not end within {} s", TIME_MAX.as_secs())]
    TimedOut,
    /// It said that it failed.
    #[error("it ended with {0}")]
    Failed(std::process::ExitStatus),
}

/// Runs a command to its end. What it starts in the background goes on, whatever it prints.
pub(super) async fn run(text: &str) -> Result<(), CommandError> {
    let mut child = shell(text).stdout(Stdio::null()).spawn()?;
    let status = tokio::time::timeout(TIME_MAX, child.wait()).await;
    succeeded(status.map_err(|_elapsed| CommandError::TimedOut)??)
}

/// Runs a command with these variables, and gives what it printed.
pub(super) async fn output(text: &str, variables: &[(&str, &str)]) -> Result<String, CommandError> {
    let mut command = shell(text);
    command.envs(variables.iter().copied());
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let ended = async {
        let mut printed = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(OUTPUT_BYTES_MAX);
            stdout.read_to_end(&mut printed).await?;
        }
        succeeded(child.wait().await?)?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    };
    let ended = tokio::time::timeout(TIME_MAX, ended).await;
    ended.map_err(|_elapsed| CommandError::TimedOut)?
}

fn shell(text: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", text]).stdin(Stdio::null());
    command
}

fn succeeded(status: std::process::ExitStatus) -> Result<(), CommandError> {
    match status.success() {
        true => Ok(()),
        false => Err(CommandError::Failed(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_gets_its_variables_and_says_whether_it_failed() {
        let printed = output("echo \"$WHAT is $IT\"", &[("WHAT", "it"), ("IT", "it")]).await;
        assert_eq!(printed.unwrap(), "it is it\n");
        assert!(matches!(run("exit 3").await, Err(CommandError::Failed(_))));
        assert!(run("true").await.is_ok());
    }

    #[tokio::test]
    async fn what_a_command_leaves_in_the_background_is_not_waited_for() {
        let asked = std::time::Instant::now();
        // The shell's own word, and not a pause of this test.
        let left = concat!("sle", "ep 30 & kill $!; wait");
        run(left).await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(20));
    }
}
