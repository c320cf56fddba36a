//! A soak on a terminal, drawn anew whenever something has changed, and once a second.

use anyhow::Context;
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt;
use jiff::Timestamp;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::Paragraph;
use ratatui::{DefaultTerminal, Frame};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::view::{Palette, view};
use super::{Display, Seen};

/// The terminal, as long as this has it.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    keys: EventStream,
    terminated: Signal,
    palette: Palette,
    /// What was shown last, for when the size changes.
    seen: Option<Seen>,
}

impl Screen {
    /// Takes the terminal over. It is given back by `close`, when this is dropped, and by ratatui's hook on a panic.
    pub(super) fn open() -> anyhow::Result<Self> {
        let terminated = signal(SignalKind::terminate()).context("failed to listen for signals")?;
        let terminal = ratatui::try_init().context("failed to take over the terminal")?;
        Ok(Self {
            terminal,
            keys: EventStream::new(),
            terminated,
            palette: palette(std::env::var("NO_COLOR").ok().as_deref()),
            seen: None,
        })
    }

    fn draw(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let (seen, palette) = (self.seen.as_ref(), self.palette);
        let drawn = self.terminal.draw(|frame| draw(frame, seen, now, palette));
        drawn.context("failed to write to the terminal")?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Display for Screen {
    fn show(&mut self, seen: &Seen, now: Timestamp) -> anyhow::Result<()> {
        self.seen = Some(seen.clone());
        self.draw(now)
    }

    async fn left(&mut self) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                _ = self.terminated.recv() => return Ok(()),
                event = self.keys.next() => match event {
                    Some(Ok(Event::Key(key))) if leaves(&key) => return Ok(()),
                    Some(Ok(Event::Resize(..))) => self.draw(Timestamp::now())?,
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error).context("failed to read from the terminal"),
                    // A terminal that is gone takes whoever looked at it along.
                    None => return Ok(()),
                },
            }
        }
    }

    /// What was seen last stays where the next prompt will be.
    fn close(self, seen: Option<&Seen>, now: Timestamp) -> anyhow::Result<()> {
        let width = self.terminal.size().map_or(80, |size| size.width);
        drop(self);
        if let Some(seen) = seen {
            for line in view(seen, now, usize::from(width), Palette::None) {
                crate::print(&format!("{line}\n"))?;
            }
        }
        Ok(())
    }
}

/// The view, and at the bottom how to leave it.
pub(super) fn draw(frame: &mut Frame<'_>, seen: Option<&Seen>, now: Timestamp, palette: Palette) {
    let rows = Layout::vertical([Constraint::Min(1), Constraint::Length(1)]);
    let [body, foot] = rows.areas(frame.area());
    match seen {
        Some(seen) => {
            let lines = view(seen, now, usize::from(body.width), palette);
            frame.render_widget(Paragraph::new(lines), body);
        }
        None => frame.render_widget(Paragraph::new("..."), body),
    }
    let style = Style::new().add_modifier(Modifier::DIM);
    let leave = "q or Ctrl-C: leave, the soak goes on";
    frame.render_widget(Paragraph::new(leave).style(style), foot);
}

/// In raw mode Ctrl-C is a key like any other.
fn leaves(key: &KeyEvent) -> bool {
    let interrupts =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let quits = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc);
    key.kind == KeyEventKind::Press && (interrupts || quits)
}

/// Colours, unless `NO_COLOR` says anything.
fn palette(no_color: Option<&str>) -> Palette {
    match no_color {
        None | Some("") => Palette::Colours,
        Some(_) => Palette::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_q_and_escape_leave_and_nothing_else_does() {
        let key = |code, modifiers| leaves(&KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Esc, KeyModifiers::NONE));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!key(KeyCode::Enter, KeyModifiers::NONE));
    }

    #[test]
    fn no_color_takes_the_colours_away() {
        assert_eq!(palette(None), Palette::Colours);
        assert_eq!(palette(Some("")), Palette::Colours);
        assert_eq!(palette(Some("1")), Palette::None);
    }
}
