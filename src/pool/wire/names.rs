//! Queue names that travel once. Whoever sends a name first gives it a number; from then on the number is enough.
//! Both ends forget them with the connection.

use std::collections::HashMap;

use super::WireError;
use crate::message::Frame;
use crate::pool::protocol::MAX_NAME;

/// Most numbers that one peer may give: its share of our memory.
const MAX_HANDLES: usize = 4096;

/// The sender's side: which names have a number.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    handles: HashMap<Frame, u16>,
    /// The one used last; most peers use only one.
    last: Option<(Frame, u16)>,
}

impl Naming {
    /// The number of a name, and whether the name has to go with it: the first time, and always for 0.
    pub(crate) fn handle(&mut self, name: &Frame) -> (u16, bool) {
        if let Some((last, handle)) = &self.last
            && last == name
        {
            return (*handle, false);
        }
        if let Some(&handle) = self.handles.get(name) {
            self.last = Some((name.clone(), handle));
            return (handle, false);
        }
        if self.handles.len() >= MAX_HANDLES {
            return (0, true);
        }
        // At most `MAX_HANDLES`, which fits.
        let handle = u16::try_from(self.handles.len() + 1).unwrap_or(0);
        self.handles.insert(name.clone(), handle);
        (handle, true)
    }
}

/// The receiver's side: which number is which name.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<Frame>);

impl Names {
    /// What a number and, perhaps, a name mean.
    pub(crate) fn resolve(&mut self, handle: u16, name: Option<Frame>) -> Result<Frame, WireError> {
        let index = usize::from(handle).checked_sub(1);
        match (name, index) {
            (Some(name), _) if name.is_empty() || name.len() > MAX_NAME => Err(WireError::BadName),
            (Some(name), None) => Ok(name),
            (Some(name), Some(index)) => {
                if let Some(known) = self.0.get_mut(index) {
                    *known = name.clone();
                } else if index == self.0.len() && index < MAX_HANDLES {
                    self.0.push(name.clone());
                } else {
                    return Err(WireError::BadHandle);
                }
                Ok(name)
            }
            (None, index) => index.and_then(|index| self.0.get(index)).cloned().ok_or(WireError::BadHandle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_travels_once() {
        let (mut naming, mut names) = (Naming::default(), Names::default());
        for (name, travels) in [("a", true), ("b", true), ("a", false), ("b", false), ("b", false)] {
            let name = Frame::from(name);
            let (handle, with_name) = naming.handle(&name);
            assert_eq!(with_name, travels);
            assert_eq!(names.resolve(handle, with_name.then(|| name.clone())), Ok(name));
        }
    }

    #[test]
    fn past_the_limit_the_name_always_travels() {
        let (mut naming, mut names) = (Naming::default(), Names::default());
        for number in 0..=MAX_HANDLES {
            let name = Frame::from(number.to_string());
            let (handle, _) = naming.handle(&name);
            assert_eq!(names.resolve(handle, Some(name.clone())), Ok(name));
        }
        assert_eq!(naming.handle(&"one more".into()), (0, true));
        assert_eq!(names.resolve(u16::MAX, Some("x".into())), Err(WireError::BadHandle));
    }

    #[test]
    fn a_number_without_a_name_is_refused() {
        let mut names = Names::default();
        assert_eq!(names.resolve(1, None), Err(WireError::BadHandle));
        assert_eq!(names.resolve(0, None), Err(WireError::BadHandle));
        assert_eq!(names.resolve(3, Some("x".into())), Err(WireError::BadHandle));
        assert_eq!(names.resolve(1, Some(Frame::new())), Err(WireError::BadName));
    }
}
